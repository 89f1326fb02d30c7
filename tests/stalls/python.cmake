# The offsets that src/stalls/python_layout.c has, against the headers of every CPython found here:
# those of the system, those of pyenv, and what HARK_PYTHON_INCLUDES names.
set(HARK_PYTHON_INCLUDES "" CACHE STRING "More folders with a Python.h to check offsets against")
file(GLOB folders /usr/include/python3.* $ENV{HOME}/.pyenv/versions/3.*/include/python3.*)
foreach(folder IN LISTS folders HARK_PYTHON_INCLUDES)
  string(REGEX MATCH "python3\\.([0-9]+)t?$" version ${folder})
  set(minor ${CMAKE_MATCH_1})
  if(NOT version OR TARGET stalls_layout_${version} OR minor LESS 8 OR minor GREATER 14
     OR NOT EXISTS ${folder}/internal/pycore_pystate.h)
    continue()
  endif()
  add_executable(stalls_layout_${version} layout_check.c)
  target_include_directories(stalls_layout_${version} SYSTEM PRIVATE ${folder})
  target_link_libraries(stalls_layout_${version} PRIVATE hark_stalls)
  target_compile_options(stalls_layout_${version} PRIVATE -w) # the headers are not ours
  add_test(NAME stalls.layout.${version} COMMAND stalls_layout_${version})
  set_tests_properties(stalls.layout.${version} PROPERTIES LABELS stalls)
endforeach()
