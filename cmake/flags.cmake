# What everything of ours is compiled with. hark_flags is private to this tree.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig)

add_library(hark_flags INTERFACE)
target_compile_definitions(hark_flags INTERFACE _GNU_SOURCE)
if(APPLE)
  target_compile_definitions(hark_flags INTERFACE _DARWIN_C_SOURCE __APPLE_USE_RFC_3542)
endif()
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

# Fibers switch stacks, which shadow stacks could not follow: see src/fiber/switch.h. A compiler
# that marks code for them by default is told not to.
include(CheckCCompilerFlag)
check_c_compiler_flag(-fcf-protection=none HARK_HAS_CF_PROTECTION)
if(HARK_HAS_CF_PROTECTION AND NOT HARK_SWITCH_UCONTEXT)
  target_compile_options(hark_flags INTERFACE -fcf-protection=none)
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

# `hark stalls` reads other programs' stacks by elfutils, and is left out without it.
set(HARK_STALLS OFF)
if(PkgConfig_FOUND)
  pkg_check_modules(LIBDW IMPORTED_TARGET libdw)
  pkg_check_modules(LIBELF IMPORTED_TARGET libelf)
endif()
if(LIBDW_FOUND AND LIBELF_FOUND)
  set(HARK_STALLS ON)
  message(STATUS "hark stalls: libdw ${LIBDW_VERSION}")
else()
  message(STATUS "hark stalls: left out, since libdw and libelf were not found "
                 "(Debian: libdw-dev, libelf-dev)")
endif()

# Names go through c-ares, and through getaddrinfo(3) without it.
if(PkgConfig_FOUND AND HARK_CARES)
  pkg_check_modules(LIBCARES IMPORTED_TARGET libcares>=1.15)
endif()
if(LIBCARES_FOUND)
  message(STATUS "names: c-ares ${LIBCARES_VERSION}")
else()
  message(STATUS "names: by getaddrinfo(3), addresses only, since c-ares 1.15 or later was not "
                 "found or not wanted (Debian: libc-ares-dev)")
endif()
