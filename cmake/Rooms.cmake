# SPDX-License-Identifier: Apache-2.0
# Rooms: one library target per folder of the house, with the dependency direction in its include
# paths. A room sees its own headers as "<room>/x.hpp" and those of the rooms it names, nothing else:
# each room's include path is a folder of the build tree that holds one link, to that room.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

add_library(lunkit_flags INTERFACE)
target_compile_options(lunkit_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion
    $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Wold-style-cast>
    # g++ 12 sees uninitialised strings where an std::expected of one was checked; clang checks for us.
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>
    $<$<BOOL:${LUNKIT_WERROR}>:-Werror>)
target_compile_definitions(lunkit_flags INTERFACE _GNU_SOURCE LUNKIT_VERSION="${PROJECT_VERSION}")
target_link_libraries(lunkit_flags INTERFACE Threads::Threads)

# The include path through which the room <name> at <folder> is seen.
function(lunkit_room_path name folder result)
    set(path ${PROJECT_BINARY_DIR}/rooms/${name})
    file(MAKE_DIRECTORY ${path})
    file(CREATE_LINK ${folder} ${path}/${name} SYMBOLIC)
    set(${result} ${path} PARENT_SCOPE)
endfunction()

# lunkit_room(<name> SOURCES <file>... [DEPENDS <target>...] [PRIVATE <target>...])
# A static library lunkit_<name> of the current folder.
function(lunkit_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
    lunkit_room_path(${name} ${CMAKE_CURRENT_SOURCE_DIR} path)
    add_library(lunkit_${name} STATIC ${ROOM_SOURCES})
    target_include_directories(lunkit_${name} PUBLIC ${path})
    target_link_libraries(lunkit_${name} PUBLIC lunkit_include ${ROOM_DEPENDS}
                                         PRIVATE lunkit_flags ${ROOM_PRIVATE})
endfunction()

# lunkit_handler(<name> SOURCES <file>... [PRIVATE <target>...] [COMPONENT <component>])
# The plugin handler_<name>.so of the current folder. It resolves no symbol of the runner. It is
# installed with the daemon, unless it has a component (and a package) of its own.
function(lunkit_handler name)
    cmake_parse_arguments(HANDLER "" "COMPONENT" "SOURCES;PRIVATE" ${ARGN})
    if(NOT HANDLER_COMPONENT)
        set(HANDLER_COMPONENT ${CMAKE_INSTALL_DEFAULT_COMPONENT_NAME})
    endif()
    add_library(handler_${name} MODULE ${HANDLER_SOURCES})
    set_target_properties(handler_${name} PROPERTIES PREFIX "" OUTPUT_NAME handler_${name}
                          LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/handlers)
    target_include_directories(handler_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(handler_${name} PRIVATE lunkit_include lunkit_flags ${HANDLER_PRIVATE})
    if(NOT LUNKIT_SANITIZED)
        target_link_options(handler_${name} PRIVATE -Wl,-z,defs)
    endif()
    install(TARGETS handler_${name} LIBRARY DESTINATION ${LUNKIT_HANDLER_DIR}
            COMPONENT ${HANDLER_COMPONENT})
endfunction()

# lunkit_test(<name> LABEL <label> SOURCES <file>... [DEPENDS <target>...] [TIMEOUT <seconds>])
function(lunkit_test name)
    cmake_parse_arguments(TEST "" "LABEL;TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
    if(NOT TEST_TIMEOUT)
        set(TEST_TIMEOUT 60)
    endif()
    if(NOT TARGET kept_ring)
        add_library(kept_ring OBJECT ${PROJECT_SOURCE_DIR}/tests/support/kept_ring.cpp)
        target_link_libraries(kept_ring PRIVATE lunkit_flags)
    endif()
    add_executable(${name} ${TEST_SOURCES})
    target_link_libraries(${name} PRIVATE lunkit_flags kept_ring ${TEST_DEPENDS} GTest::gtest_main
                          GTest::gmock)
    # What is tested is optimised in full. The tests' own sources take half the time to compile so.
    target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
    # A room under test includes its fakes as "support/x.hpp".
    target_include_directories(${name} PRIVATE ${PROJECT_BINARY_DIR}/rooms/support)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${TEST_LABEL} TIMEOUT ${TEST_TIMEOUT})
endfunction()

# lunkit_fuzz(<name> SOURCES <file>... [DEPENDS <target>...])
# A libFuzzer target, and <name>_planted: the same with LUNKIT_FUZZ_PLANT defined, by which the target
# plants a bug that it must find. tests/fuzz/run runs both, from the corpus of that name. Without
# LUNKIT_FUZZ both are only compiled, so that a change which breaks them is seen at once.
function(lunkit_fuzz name)
    cmake_parse_arguments(FUZZ "" "" "SOURCES;DEPENDS" ${ARGN})
    foreach(target ${name} ${name}_planted)
        if(LUNKIT_FUZZ)
            add_executable(${target} ${FUZZ_SOURCES})
            target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        else()
            add_library(${target} OBJECT ${FUZZ_SOURCES})
        endif()
        target_link_libraries(${target} PRIVATE lunkit_flags ${FUZZ_DEPENDS})
        target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/rooms/support)
    endforeach()
    target_compile_definitions(${name}_planted PRIVATE LUNKIT_FUZZ_PLANT)
endfunction()
