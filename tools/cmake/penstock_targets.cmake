# One function a kind of target, so that a room's CMakeLists.txt says only what is particular to it.

find_program(PENSTOCK_CCACHE ccache)
if(PENSTOCK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PENSTOCK_CCACHE})
endif()
find_program(PENSTOCK_MOLD mold)

add_library(penstock_options INTERFACE)
target_compile_features(penstock_options INTERFACE cxx_std_20)
target_compile_options(penstock_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  $<$<BOOL:${PENSTOCK_WERROR}>:-Werror>)
# GCC 12 warns of overlapping copies inside std::string at -O2 and above where there are none (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(penstock_options INTERFACE -Wno-restrict)
endif()
if(PENSTOCK_SANITIZE)
  target_compile_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE})
  if(PENSTOCK_SANITIZE MATCHES "address")
    # Where each check stands is data with addresses in it, 60 MB of relocations whenever a program begins otherwise.
    target_link_options(penstock_options INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-no-pie>)
  endif()
endif()
if(PENSTOCK_MOLD)
  target_link_options(penstock_options INTERFACE -fuse-ld=mold)
endif()
# Of test code only: named behind penstock_options, whose flags it takes back in part. Tests are almost half of what is
# compiled, and take three quarters of the time without checks that mostly AddressSanitizer makes too.
add_library(penstock_test_options INTERFACE)
if(PENSTOCK_SANITIZE AND PENSTOCK_UNCHECKED_IN_TESTS)
  target_compile_options(penstock_test_options INTERFACE -fno-sanitize=${PENSTOCK_UNCHECKED_IN_TESTS})
endif()

# penstock_add_room(NAME SOURCES... [DEPENDS rooms...] [LIBRARIES imported targets...])
# A room without sources is an interface library.
function(penstock_add_room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  set(target penstock_${name})
  set(rooms "")
  foreach(room ${ARG_DEPENDS})
    list(APPEND rooms penstock::${room})
  endforeach()
  if(ARG_SOURCES)
    add_library(${target} STATIC ${ARG_SOURCES})
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
    target_link_libraries(${target} PUBLIC ${rooms} PRIVATE $<BUILD_INTERFACE:penstock_options> ${ARG_LIBRARIES})
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)
    target_link_libraries(${target} INTERFACE ${rooms} ${ARG_LIBRARIES})
  endif()
  add_library(penstock::${name} ALIAS ${target})
endfunction()

# penstock_add_test(NAME SOURCES... DEPENDS rooms... [LIBRARIES ...] [LABELS ...]): one GoogleTest program.
# Its results go to <build>/test-results/<name>.xml, where tools/test adds them up.
function(penstock_add_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;LIBRARIES;LABELS" ${ARGN})
  set(target penstock_test_${name})
  add_executable(${target} ${ARG_SOURCES})
  set(rooms "")
  foreach(room ${ARG_DEPENDS})
    list(APPEND rooms penstock::${room})
  endforeach()
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE ${rooms} ${ARG_LIBRARIES} GTest::gtest_main penstock_options penstock_test_options)
  if("threads" IN_LIST ARG_LABELS)
    set_property(GLOBAL APPEND PROPERTY PENSTOCK_THREADED_TESTS ${target})
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${target} --gtest_output=xml:${PROJECT_BINARY_DIR}/test-results/${name}.xml)
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()

# penstock_add_bench(NAME SOURCES... DEPENDS rooms...): one Google Benchmark program.
function(penstock_add_bench name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  set(target penstock_bench_${name})
  add_executable(${target} ${ARG_SOURCES})
  set(rooms "")
  foreach(room ${ARG_DEPENDS})
    list(APPEND rooms penstock::${room})
  endforeach()
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/bench)
  target_link_libraries(${target} PRIVATE ${rooms} ${ARG_LIBRARIES} benchmark::benchmark_main penstock_options)
endfunction()
