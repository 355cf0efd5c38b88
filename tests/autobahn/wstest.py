# Python 2.7. Starts the suite's `wstest`, and binds every listening socket to the
# loopback interface. Without that, the fuzzing server listens on all interfaces,
# although its configured URL names one.
from autobahntestsuite import wstest
from twisted.internet import reactor

LOOPBACK = "127.0.0.1"


def listen_on_loopback(listen):
    def bound(port, factory, *options, **named):
        # The parameters after port and factory are backlog and interface. The
        # suite passes neither, so this value replaces the default.
        named["interface"] = LOOPBACK
        return listen(port, factory, *options[:1], **named)

    return bound


reactor.listenTCP = listen_on_loopback(reactor.listenTCP)
wstest.run()
