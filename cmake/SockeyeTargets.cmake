# The four kinds of target that the tree is made of.

# "base" names the library of a folder, anything else is passed on as it is.
function(sockeye_resolve out)
    set(targets)
    foreach(name IN LISTS ARGN)
        if(TARGET sockeye_${name})
            list(APPEND targets sockeye_${name})
        else()
            list(APPEND targets ${name})
        endif()
    endforeach()
    set(${out} ${targets} PARENT_SCOPE)
endfunction()

# sockeye_library(<folder> [GNU] SOURCES file... [LINK folder-or-library...])
#
# The static library sockeye_<folder> from src/<folder>/<file>. GNU defines _GNU_SOURCE: only
# folders that talk to the system have it. LINK holds what the folder may include.
function(sockeye_library name)
    cmake_parse_arguments(arg "GNU" "" "SOURCES;LINK" ${ARGN})
    sockeye_resolve(links ${arg_LINK})
    list(TRANSFORM arg_SOURCES PREPEND ${CMAKE_SOURCE_DIR}/src/${name}/)
    add_library(sockeye_${name} STATIC ${arg_SOURCES})
    target_include_directories(sockeye_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(sockeye_${name} PUBLIC ${links})
    if(arg_GNU)
        # Empty, so that a file that defines it too says the same.
        target_compile_definitions(sockeye_${name} PRIVATE _GNU_SOURCE=)
    endif()
endfunction()

# sockeye_test(<name> <label> <folder-or-library>...)
#
# The program test_<name> from test_<name>.c in the current folder, run by ctest as
# <label>.<name>; `ctest -L <label>` runs those of one label.
function(sockeye_test name label)
    sockeye_resolve(links ${ARGN})
    add_executable(test_${name} test_${name}.c)
    target_compile_definitions(test_${name} PRIVATE _GNU_SOURCE=)
    target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(test_${name} PRIVATE ${links} PkgConfig::cmocka)
    add_test(NAME ${label}.${name} COMMAND test_${name}
             WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${label}.${name} PROPERTIES LABELS ${label} TIMEOUT 600)
endfunction()

# sockeye_unit(<name> <folder-or-library>...): tests/unit/test_<name>.c
function(sockeye_unit name)
    sockeye_test(${name} unit ${ARGN})
endfunction()

# sockeye_fuzz(<name> <folder-or-library>...)
#
# The program fuzz_<name> from fuzz/fuzz_<name>.c. In the fuzz preset it is a libFuzzer program;
# elsewhere it gets a main of ours that runs the corpus once, as the test fuzz.<name>.
function(sockeye_fuzz name)
    sockeye_resolve(links ${ARGN})
    add_executable(fuzz_${name} fuzz_${name}.c)
    target_compile_definitions(fuzz_${name} PRIVATE _GNU_SOURCE=)
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/src)
    # LLVMFuzzerTestOneInput has no header to declare it in.
    target_compile_options(fuzz_${name} PRIVATE -Wno-missing-prototypes)
    target_link_libraries(fuzz_${name} PRIVATE ${links})
    if(SOCKEYE_FUZZ)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        return()
    endif()
    target_sources(fuzz_${name} PRIVATE replay.c)
    add_test(NAME fuzz.${name}
             COMMAND fuzz_${name} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()
