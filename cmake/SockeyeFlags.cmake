# Flags for the whole tree. The presets choose the optimisation level and switch the options.
include(CheckCCompilerFlag)
include(CheckIPOSupported)

# Adds each flag that the compiler knows: gcc and clang share most of them, not all.
function(sockeye_flags_if_known)
    foreach(flag IN LISTS ARGN)
        string(MAKE_C_IDENTIFIER "HAVE${flag}" known)
        check_c_compiler_flag(${flag} ${known})
        if(${known})
            add_compile_options(${flag})
        endif()
    endforeach()
endfunction()

macro(sockeye_warnings)
    add_compile_options(
        -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
        -Wmissing-prototypes -Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings
        -Wformat=2 -Wundef -Wvla -Wdouble-promotion -Wredundant-decls)
    sockeye_flags_if_known(-Wlogical-op -Wduplicated-cond -Wmissing-variable-declarations)
    if(SOCKEYE_WERROR)
        add_compile_options(-Werror)
        # Warnings that only link-time optimisation can give are errors too.
        add_link_options(-Werror)
    endif()
endmacro()

macro(sockeye_harden)
    add_compile_options(-fPIE -fstack-protector-strong -ffunction-sections -fdata-sections)
    sockeye_flags_if_known(-fcf-protection -fstack-clash-protection)
    # Distributions' compilers may define it already, to another value.
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    add_link_options(-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections)
    check_ipo_supported(RESULT SOCKEYE_LTO OUTPUT lto_output LANGUAGES C)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${SOCKEYE_LTO})
endmacro()

macro(sockeye_sanitize)
    add_compile_options(-fsanitize=${SOCKEYE_SANITIZE} -fno-sanitize-recover=all
                        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${SOCKEYE_SANITIZE})
endmacro()

sockeye_warnings()
if(SOCKEYE_HARDEN)
    sockeye_harden()
endif()
if(SOCKEYE_SANITIZE)
    sockeye_sanitize()
endif()
if(SOCKEYE_FUZZ)
    # Coverage in the libraries; the fuzz programs alone get libFuzzer's main.
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(SOCKEYE_FAULTS)
    add_compile_definitions(SOCKEYE_FAULTS=1)
endif()
add_compile_definitions(SOCKEYE_VERSION="${PROJECT_VERSION}")
