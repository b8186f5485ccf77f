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
