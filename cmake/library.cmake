# The installed library, shared and static. Both export lathe_ symbols and nothing else: the shared one by a version script,
# the static one as a single relocatable object whose hidden symbols are made local.
add_library(lathe_shared SHARED ${lib_objects})
set_target_properties(lathe_shared PROPERTIES OUTPUT_NAME lathe VERSION ${PROJECT_VERSION} SOVERSION 0
                      LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/lathe.map)
target_include_directories(lathe_shared PUBLIC include)
target_link_libraries(lathe_shared PRIVATE ${lib_deps})
target_link_options(lathe_shared PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/lathe.map -Wl,--no-undefined-version)

set(archive ${CMAKE_BINARY_DIR}/liblathe.a)
add_custom_command(OUTPUT ${archive}
  COMMAND ${CMAKE_LINKER} -r -o lathe_one.o ${lib_objects}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden lathe_one.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
  COMMAND ${CMAKE_AR} rcs ${archive} lathe_one.o
  COMMAND ${CMAKE_COMMAND} -E rm -f lathe_one.o
  DEPENDS lathe_objects ${lib_objects}
  COMMAND_EXPAND_LISTS VERBATIM COMMENT "Making liblathe.a")
add_custom_target(lathe_archive ALL DEPENDS ${archive})

configure_file(cmake/lathe.pc.in lathe.pc @ONLY)
install(TARGETS lathe_shared LIBRARY)
install(FILES ${archive} TYPE LIB)
install(FILES include/lathe.h TYPE INCLUDE)
install(FILES ${CMAKE_BINARY_DIR}/lathe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
