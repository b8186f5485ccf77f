install(TARGETS sockeye)
install(CODE "file(CREATE_LINK sockeye
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/osocks\" SYMBOLIC)")

# An administrator's own configuration is never overwritten: the example goes beside the papers.
install(FILES packaging/sockeye.yaml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
configure_file(packaging/sockeye.service.in sockeye.service @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/sockeye.service DESTINATION lib/systemd/system)
install(FILES packaging/sockeye.sysusers DESTINATION lib/sysusers.d RENAME sockeye.conf)
install(FILES man/sockeye.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# A shell looks for completion in a file that is named as the command.
if(NOT CMAKE_CROSSCOMPILING)
    set(completion ${CMAKE_BINARY_DIR}/completion)
    foreach(name sockeye osocks)
        install(FILES ${completion}/bash RENAME ${name}
                DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
        install(FILES ${completion}/fish RENAME ${name}.fish
                DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
    endforeach()
    install(FILES ${completion}/zsh RENAME _sockeye
            DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()
