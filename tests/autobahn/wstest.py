# Python 2.7. Starts the suite's `wstest`, and binds every listening socket to the
# loopback interface. Without that, the fuzzing server listens on all interfaces,
# although its configured URL names one.
#
# It also waits longer for the peer: the suite ends most cases when an answer has taken
# a second, and on a busy machine that happens. A quick peer costs none of this time.
from autobahntestsuite import wstest
from autobahntestsuite.fuzzing import FuzzingProtocol
from twisted.internet import reactor

LOOPBACK = "127.0.0.1"
TIMES_AS_LONG = 20


def listen_on_loopback(listen):
    def bound(port, factory, *options, **named):
        # The parameters after port and factory are backlog and interface. The
        # suite passes neither, so this value replaces the default.
        named["interface"] = LOOPBACK
        return listen(port, factory, *options[:1], **named)

    return bound


def waits_longer(kill_after):
    return lambda protocol, delay: kill_after(protocol, TIMES_AS_LONG * delay)


FuzzingProtocol.killAfter = waits_longer(FuzzingProtocol.__dict__["killAfter"])
reactor.listenTCP = listen_on_loopback(reactor.listenTCP)
wstest.run()
