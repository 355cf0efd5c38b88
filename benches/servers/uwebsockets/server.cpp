// Broadcast and echo on uWebSockets: `uwebsockets PORT broadcast|echo|compressed`. The
// last one is broadcast with permessage-deflate.
//
// The library's topic tree sends up to 32 messages to a subscriber in one write. Publishing
// in a message handler costs more: the sender's socket holds the only cork buffer, so the
// library sends each message to a subscriber with 32 pending messages in a separate write.
// Therefore this server collects the messages of one turn and sends them in the loop's post
// handler: one message by publish, several by a corked send to each socket, which fills the
// cork buffer of 16 KiB for each write. (Measured: publishing up to 8 or 32 messages costs
// the same or more.)
//
// In compressed mode, the library uses its shared compressor, which has no context takeover
// and needs no memory for a connection. Only the compressor's state is shared: each message
// is compressed for each subscriber, at level 6, and by libdeflate if the result has at most
// 1 KiB. The library's source sets both values.
//
// Compiled with OpenSSL, it speaks TLS with the files that the variables TLS_CERT and TLS_KEY name.
//
// A client with a backlog of more than 1 MiB is disconnected. Automatic pings and the idle
// timeout of two minutes have their defaults.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "App.h"

namespace {

constexpr const char *TOPIC = "broadcast";
constexpr unsigned BACKLOG_BYTES_MAX = 1024 * 1024;

struct Member {
    size_t index;
};

#ifdef LIBUS_NO_SSL
constexpr bool IS_TLS = false;
#else
constexpr bool IS_TLS = true;
#endif

using App = uWS::TemplatedApp<IS_TLS>;
using Socket = uWS::WebSocket<IS_TLS, true, Member>;

struct Message {
    std::string payload;
    uWS::OpCode opcode;
};

struct Room {
    std::vector<Socket *> members;
    std::vector<Message> turn;
    bool is_compressed;

    void join(Socket *socket) {
        socket->subscribe(TOPIC);
        socket->getUserData()->index = members.size();
        members.push_back(socket);
    }

    void leave(Socket *socket) {
        size_t index = socket->getUserData()->index;
        members[index] = members.back();
        members[index]->getUserData()->index = index;
        members.pop_back();
    }

    void fan_out(App &app) {
        if (turn.size() <= 1) {
            for (const Message &message : turn) {
                app.publish(TOPIC, message.payload, message.opcode, is_compressed);
            }
        } else {
            for (Socket *socket : members) {
                socket->cork([&] {
                    for (const Message &message : turn) {
                        socket->send(message.payload, message.opcode, is_compressed);
                    }
                });
            }
        }
        turn.clear();
    }
};

}

int main(int count, char **arguments) {
    std::string_view mode = count == 3 ? arguments[2] : "";
    if (mode != "broadcast" && mode != "echo" && mode != "compressed") {
        fprintf(stderr, "usage: %s PORT broadcast|echo|compressed\n", arguments[0]);
        return 2;
    }
    bool is_echo = mode == "echo";
    Room room = {};
    room.is_compressed = mode == "compressed";
    uWS::SocketContextOptions options = {};
    if (IS_TLS) {
        options.cert_file_name = getenv("TLS_CERT");
        options.key_file_name = getenv("TLS_KEY");
    }
    App app(options);
    app.ws<Member>("/*", {
        .compression = room.is_compressed
            ? uWS::CompressOptions(uWS::SHARED_COMPRESSOR | uWS::SHARED_DECOMPRESSOR)
            : uWS::DISABLED,
        .maxPayloadLength = 1024 * 1024,
        .maxBackpressure = BACKLOG_BYTES_MAX,
        .closeOnBackpressureLimit = true,
        .open = [&](Socket *socket) {
            if (!is_echo) {
                room.join(socket);
            }
        },
        .message = [&](Socket *socket, std::string_view payload, uWS::OpCode opcode) {
            if (is_echo) {
                socket->send(payload, opcode);
            } else {
                room.turn.push_back({std::string(payload), opcode});
            }
        },
        .close = [&](Socket *socket, int, std::string_view) {
            if (!is_echo) {
                room.leave(socket);
            }
        },
    });
    app.listen("127.0.0.1", atoi(arguments[1]), [](us_listen_socket_t *listening) {
        if (!listening) {
            fprintf(stderr, "cannot listen\n");
            exit(1);
        }
        printf("ready 127.0.0.1:%d\n", us_socket_local_port(IS_TLS, (us_socket_t *) listening));
        fflush(stdout);
    });
    uWS::Loop::get()->addPostHandler(&room, [&](uWS::Loop *) { room.fan_out(app); });
    app.run();
}
