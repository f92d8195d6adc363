# `cmake --install BUILD --component client`: the client library for other programs. They say
#   find_package(penstock REQUIRED)
#   target_link_libraries(program PRIVATE penstock::client)
# and include <penstock/client/client.h>.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(penstock_public_headers
  base/error.h data/types.h
  wire/block.h wire/bytes.h wire/errors.h wire/messages.h wire/schemaless.h wire/stmt2.h
  client/client.h client/connection.h client/consumer.h client/dsn.h client/errors.h client/rows.h client/statement.h
  client/value.h)

set(penstock_public_rooms base data wire client)
foreach(room ${penstock_public_rooms})
  set_target_properties(penstock_${room} PROPERTIES EXPORT_NAME ${room})
  target_compile_features(penstock_${room} PUBLIC cxx_std_20)
  target_include_directories(penstock_${room} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  install(TARGETS penstock_${room} EXPORT penstock_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
endforeach()

# Installed headers include each other as <penstock/…>, so that no folder of a user's program is taken for one of ours.
set(penstock_header_stage ${PROJECT_BINARY_DIR}/install-include)
install(CODE "
  foreach(header ${penstock_public_headers})
    file(READ \"${PROJECT_SOURCE_DIR}/src/\${header}\" text)
    string(REGEX REPLACE \"#include \\\"(base|data|wire|client)/([^\\\"]*)\\\"\" \"#include \\\"penstock/\\\\1/\\\\2\\\"\" text \"\${text}\")
    file(WRITE \"${penstock_header_stage}/penstock/\${header}\" \"\${text}\")
  endforeach()" COMPONENT client)
install(DIRECTORY ${penstock_header_stage}/penstock DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT client)

set(penstock_package ${CMAKE_INSTALL_LIBDIR}/cmake/penstock)
install(EXPORT penstock_targets NAMESPACE penstock:: FILE penstockTargets.cmake DESTINATION ${penstock_package}
  COMPONENT client)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/penstockConfig.cmake.in
  ${PROJECT_BINARY_DIR}/penstockConfig.cmake INSTALL_DESTINATION ${penstock_package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/penstockConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/penstockConfig.cmake ${PROJECT_BINARY_DIR}/penstockConfigVersion.cmake
  DESTINATION ${penstock_package} COMPONENT client)
