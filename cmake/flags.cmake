# What everything of ours is compiled with. hark_flags is private to this tree.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig)

add_library(hark_flags INTERFACE)
target_compile_definitions(hark_flags INTERFACE _GNU_SOURCE)
target_compile_options(hark_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wwrite-strings -Wpointer-arith -Wvla -Wundef -Wcast-align)
if(HARK_WERROR)
  target_compile_options(hark_flags INTERFACE -Werror)
endif()
if(HARK_SANITIZE)
  target_compile_options(hark_flags INTERFACE -fsanitize=${HARK_SANITIZE} -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  target_link_options(hark_flags INTERFACE -fsanitize=${HARK_SANITIZE})
endif()
if(HARK_COVERAGE)
  target_compile_options(hark_flags INTERFACE --coverage -O0)
  target_link_options(hark_flags INTERFACE --coverage)
endif()

# io_uring goes through liburing, and is left out without it.
if(PkgConfig_FOUND)
  pkg_check_modules(LIBURING IMPORTED_TARGET liburing>=2.3)
endif()
if(LIBURING_FOUND)
  message(STATUS "io_uring backend: liburing ${LIBURING_VERSION}")
else()
  message(STATUS "io_uring backend: left out, since liburing 2.3 or later was not found "
                 "(Debian: liburing-dev)")
endif()
