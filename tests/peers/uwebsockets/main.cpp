// An echo server on uWebSockets, with compression. Prints its URL.
#include <cstdio>
#include <string_view>

#include "App.h"

struct Nothing {};

int main() {
    uWS::App app;
    app.ws<Nothing>("/*", {
        .compression = uWS::CompressOptions(uWS::DEDICATED_COMPRESSOR | uWS::DEDICATED_DECOMPRESSOR),
        .maxPayloadLength = 1 << 25,
        .maxBackpressure = 1 << 28,
        .message = [](auto *socket, std::string_view payload, uWS::OpCode opcode) {
            socket->send(payload, opcode, true);
        },
    });
    app.listen("127.0.0.1", 0, [](us_listen_socket_t *listening) {
        if (listening) {
            printf("ws://127.0.0.1:%d/\n", us_socket_local_port(0, (us_socket_t *) listening));
            fflush(stdout);
        }
    });
    app.run();
}
