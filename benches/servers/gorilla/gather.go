package main

import (
	"net"
	"sync"
	"time"
)

// From here on a copy costs more than a system call of its own.
const directBytesMin = 8 * 1024

// gatherConn is a connection that can hold what is written until it is flushed. It
// also flushes before it reads. Its buffer comes from a pool while it is in use; what
// is large and has nothing before it is written at once.
//
// gorilla lets pongs be written beside messages, from another goroutine; hence the
// lock, which the flush does not hold while it writes.
type gatherConn struct {
	net.Conn
	lock        sync.Mutex
	unsent      *[]byte
	isGathering bool
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// gather holds what is written from now on.
func (conn *gatherConn) gather() {
	conn.lock.Lock()
	defer conn.lock.Unlock()
	conn.isGathering = true
}

func (conn *gatherConn) Write(bytes []byte) (int, error) {
	conn.lock.Lock()
	isLarge := conn.unsent == nil && len(bytes) >= directBytesMin
	if !conn.isGathering || isLarge {
		conn.lock.Unlock()
		return conn.Conn.Write(bytes)
	}
	if conn.unsent == nil {
		conn.unsent = buffers.Get().(*[]byte)
	}
	*conn.unsent = append(*conn.unsent, bytes...)
	conn.lock.Unlock()
	return len(bytes), nil
}

// Read flushes first: its caller has used up all that had come.
func (conn *gatherConn) Read(bytes []byte) (int, error) {
	if err := conn.send(); err != nil {
		return 0, err
	}
	return conn.Conn.Read(bytes)
}

// flush sends what is held, and holds no more.
func (conn *gatherConn) flush() error {
	err := conn.send()
	conn.lock.Lock()
	conn.isGathering = false
	conn.lock.Unlock()
	if err != nil {
		return err
	}
	// What came between the two.
	return conn.send()
}

func (conn *gatherConn) send() error {
	conn.lock.Lock()
	unsent := conn.unsent
	conn.unsent = nil
	conn.lock.Unlock()
	if unsent == nil {
		return nil
	}
	_, err := conn.Conn.Write(*unsent)
	*unsent = (*unsent)[:0]
	buffers.Put(unsent)
	return err
}

// SetWriteDeadline passes over the deadline that gorilla takes back before each
// message.
func (conn *gatherConn) SetWriteDeadline(deadline time.Time) error {
	if deadline.IsZero() {
		return nil
	}
	return conn.Conn.SetWriteDeadline(deadline)
}

type gatherListener struct {
	net.Listener
}

func (listener gatherListener) Accept() (net.Conn, error) {
	conn, err := listener.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatherConn{Conn: conn}, nil
}
