# Python 2.7. Starts the suite's `wstest` with every listening socket bound to
# the loopback interface: as it comes, the fuzzing server listens on all of
# them, whatever its configured URL says.
from autobahntestsuite import wstest
from twisted.internet import reactor

LOOPBACK = "127.0.0.1"


def listen_on_loopback(listen):
    def bound(port, factory, *options, **named):
        # After port and factory come backlog and interface; the suite names
        # neither, and what is named here wins over any default.
        named["interface"] = LOOPBACK
        return listen(port, factory, *options[:1], **named)

    return bound


reactor.listenTCP = listen_on_loopback(reactor.listenTCP)
wstest.run()
