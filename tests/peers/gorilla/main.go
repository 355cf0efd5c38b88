// An echo server on gorilla/websocket, with compression. Prints its URL.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{EnableCompression: true}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("ws://%s/\n", listener.Addr())
	err = http.Serve(listener, http.HandlerFunc(echo))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func echo(response http.ResponseWriter, request *http.Request) {
	connection, err := upgrader.Upgrade(response, request, nil)
	if err != nil {
		return
	}
	defer connection.Close()
	for {
		kind, data, err := connection.ReadMessage()
		if err != nil {
			return
		}
		if connection.WriteMessage(kind, data) != nil {
			return
		}
	}
}
