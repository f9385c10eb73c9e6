# LATHE_KERN_BUILD: a digest of all that decides what the kernels compute (their sources, the compiler, its flags). Verdicts on
# kernels that are kept between runs hold for one such digest. Paths and dates are no part of it: builds stay reproducible.
file(GLOB_RECURSE kern_sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} src/kern/*.c src/kern/*.h src/kern/*.inc src/quant/*.c src/quant/*.h)
list(APPEND kern_sources src/base/cpu.h src/base/cpu.c cmake/isa.cmake CMakeLists.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kern_sources})
string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
set(kern_build "${PROJECT_VERSION} ${CMAKE_SYSTEM_PROCESSOR} ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} ${CMAKE_C_FLAGS} "
    "${CMAKE_C_FLAGS_${type}} ${LATHE_CHECK}")
foreach(source ${kern_sources})
  file(SHA256 ${CMAKE_SOURCE_DIR}/${source} digest)
  string(APPEND kern_build " ${source} ${digest}")
endforeach()
string(SHA256 kern_build "${kern_build}")
set_source_files_properties(src/kern/kern_verdicts.c PROPERTIES COMPILE_DEFINITIONS "LATHE_KERN_BUILD=\"${kern_build}\"")
