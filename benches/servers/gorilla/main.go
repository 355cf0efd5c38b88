// Broadcast and echo on gorilla/websocket: `gorilla PORT broadcast|echo|compressed`. The
// last one is broadcast with permessage-deflate: gorilla compresses a PreparedMessage
// once for all clients, at its default level, which is 1, and never with context
// takeover.
//
// Each client has a reading and a writing goroutine, and one hub distributes the messages,
// as in gorilla's chat example. Each message is a PreparedMessage, framed once, and write
// buffers are pooled, as the documentation recommends for broadcasts and for many
// connections. gorilla writes each message separately; bufferedConn makes one write of all
// messages that a writing goroutine has taken. The hub yields once before it distributes, so
// that a batch has all messages that have arrived.
//
// A client with a backlog of more than 1 MiB is disconnected. The server uses one thread
// (GOMAXPROCS=1).
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

const backlogBytesMax = 1 << 20

func main() {
	if len(os.Args) != 3 {
		usage()
	}
	mode := os.Args[2]
	if mode != "broadcast" && mode != "echo" && mode != "compressed" {
		usage()
	}
	port, err := strconv.ParseUint(os.Args[1], 10, 16)
	if err != nil {
		usage()
	}
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	serve := echo
	if mode != "echo" {
		hub := newHub()
		go hub.run()
		serve = hub.serve
	}
	upgrader := websocket.Upgrader{
		WriteBufferPool:   &sync.Pool{},
		EnableCompression: mode == "compressed",
	}
	handler := func(response http.ResponseWriter, request *http.Request) {
		connection, err := upgrader.Upgrade(response, request, nil)
		if err == nil {
			// In another function, so that the memory of net/http for the request is freed.
			go serve(connection)
		}
	}
	fmt.Printf("ready %s\n", listener.Addr())
	err = http.Serve(bufferedListener{listener}, http.HandlerFunc(handler))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: gorilla PORT broadcast|echo|compressed")
	os.Exit(2)
}

// echo sends back all messages of one read with one write, because bufferedConn flushes
// before it reads again.
func echo(connection *websocket.Conn) {
	defer connection.Close()
	buffered := connection.UnderlyingConn().(*bufferedConn)
	buffered.hold()
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

type message struct {
	prepared *websocket.PreparedMessage
	bytes    int
}

// batch has the messages of one turn, shared by all clients.
type batch struct {
	messages []*websocket.PreparedMessage
	bytes    int64
}

type client struct {
	connection *websocket.Conn
	batches    chan batch
	backlog    atomic.Int64
}

type hub struct {
	join      chan *client
	leave     chan *client
	published chan message
	clients   map[*client]struct{}
}

func newHub() *hub {
	return &hub{
		join:      make(chan *client),
		leave:     make(chan *client),
		published: make(chan message, 4096),
		clients:   make(map[*client]struct{}),
	}
}

func (hub *hub) run() {
	for {
		select {
		case client := <-hub.join:
			hub.clients[client] = struct{}{}
		case client := <-hub.leave:
			hub.remove(client)
		case first := <-hub.published:
			runtime.Gosched()
			hub.fanOut(first)
		}
	}
}

func (hub *hub) fanOut(first message) {
	turn := batch{[]*websocket.PreparedMessage{first.prepared}, int64(first.bytes)}
	for waiting := len(hub.published); waiting > 0; waiting-- {
		next := <-hub.published
		turn.messages = append(turn.messages, next.prepared)
		turn.bytes += int64(next.bytes)
	}
	for client := range hub.clients {
		if client.backlog.Add(turn.bytes) > backlogBytesMax+turn.bytes {
			hub.remove(client)
			continue
		}
		select {
		case client.batches <- turn:
		default:
			hub.remove(client)
		}
	}
}

// remove ends both goroutines of a client.
func (hub *hub) remove(client *client) {
	if _, isMember := hub.clients[client]; isMember {
		delete(hub.clients, client)
		close(client.batches)
		client.connection.Close()
	}
}

func (hub *hub) serve(connection *websocket.Conn) {
	client := &client{connection: connection, batches: make(chan batch, 64)}
	hub.join <- client
	go client.write()
	for {
		kind, data, err := connection.ReadMessage()
		if err != nil {
			break
		}
		prepared, err := websocket.NewPreparedMessage(kind, data)
		if err != nil {
			break
		}
		hub.published <- message{prepared, len(data)}
	}
	hub.leave <- client
}

func (client *client) write() {
	buffered := client.connection.UnderlyingConn().(*bufferedConn)
	for turn := range client.batches {
		buffered.hold()
		taken := turn.bytes
		client.queue(turn)
		for waiting := len(client.batches); waiting > 0; waiting-- {
			next, isOpen := <-client.batches
			if !isOpen {
				break
			}
			taken += next.bytes
			client.queue(next)
		}
		// The next read of the connection reports the error again.
		_ = buffered.flush()
		client.backlog.Add(-taken)
	}
}

func (client *client) queue(turn batch) {
	for _, prepared := range turn.messages {
		_ = client.connection.WritePreparedMessage(prepared)
	}
}
