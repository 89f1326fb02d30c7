# make install: headers, both libraries, the command, hark.pc, the CMake package, man pages.
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

install(DIRECTORY include/hark DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(libraries hark_shared hark_static)
if(TARGET hark_blocking)
  list(APPEND libraries hark_blocking)
endif()
install(TARGETS ${libraries} EXPORT harkTargets
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS hark DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES src/cli/completion.bash RENAME hark
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/hark)
install(EXPORT harkTargets NAMESPACE hark:: DESTINATION ${package})
configure_package_config_file(cmake/harkConfig.cmake.in ${PROJECT_BINARY_DIR}/harkConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/harkConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/harkConfig.cmake ${PROJECT_BINARY_DIR}/harkConfigVersion.cmake
        DESTINATION ${package})

set(HARK_PC_REQUIRES_PRIVATE "")
if(LIBURING_FOUND)
  list(APPEND HARK_PC_REQUIRES_PRIVATE "liburing >= 2.3")
endif()
if(LIBCARES_FOUND)
  list(APPEND HARK_PC_REQUIRES_PRIVATE "libcares >= 1.15")
endif()
list(JOIN HARK_PC_REQUIRES_PRIVATE ", " HARK_PC_REQUIRES_PRIVATE)
set(HARK_PC_LIBS "")
set(HARK_PC_LIBS_PRIVATE "-lpthread")
if(WIN32) # whose headers of sockets are a part of ours
  set(HARK_PC_LIBS " -lws2_32")
  string(APPEND HARK_PC_LIBS_PRIVATE " -liphlpapi -lpsapi -lntdll")
endif()
# From where hark.pc lies, so that the installed copy can be moved.
file(RELATIVE_PATH HARK_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/hark.pc.in ${PROJECT_BINARY_DIR}/hark.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/hark.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(TARGET hark_blocking)
  configure_file(cmake/hark-blocking.pc.in ${PROJECT_BINARY_DIR}/hark-blocking.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/hark-blocking.pc
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

# The manual is made from the headers.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  file(GLOB headers CONFIGURE_DEPENDS include/hark/*.h)
  file(GLOB written CONFIGURE_DEPENDS docs/man/*)
  add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/man/made
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${PROJECT_BINARY_DIR}/man
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/manpages ${PROJECT_BINARY_DIR}/man
    COMMAND ${CMAKE_COMMAND} -E touch ${PROJECT_BINARY_DIR}/man/made
    DEPENDS scripts/manpages ${headers} ${written} VERBATIM)
  add_custom_target(man ALL DEPENDS ${PROJECT_BINARY_DIR}/man/made)
  foreach(section 1 3 7)
    install(DIRECTORY ${PROJECT_BINARY_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
            FILES_MATCHING PATTERN "*.${section}")
  endforeach()
else()
  message(STATUS "man pages: left out, since Python 3 was not found")
endif()
