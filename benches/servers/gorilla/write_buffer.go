package main

import (
	"net"
	"sync"
	"time"
)

// From this length on, a copy costs more than a separate system call.
const directBytesMin = 8 * 1024

// bufferedConn is a connection that can hold written bytes until it is flushed. It also
// flushes before it reads. Its buffer comes from a pool while it is in use; a large write
// into an empty buffer goes to the socket at once.
//
// The lock is needed because gorilla may write pongs from another goroutine. The flush does
// not hold the lock while it writes.
type bufferedConn struct {
	net.Conn
	lock        sync.Mutex
	unsent      *[]byte
	isHolding bool
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// hold starts to hold written bytes.
func (conn *bufferedConn) hold() {
	conn.lock.Lock()
	defer conn.lock.Unlock()
	conn.isHolding = true
}

func (conn *bufferedConn) Write(bytes []byte) (int, error) {
	conn.lock.Lock()
	isLarge := conn.unsent == nil && len(bytes) >= directBytesMin
	if !conn.isHolding || isLarge {
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

// Read flushes first: its caller has handled all received bytes.
func (conn *bufferedConn) Read(bytes []byte) (int, error) {
	if err := conn.send(); err != nil {
		return 0, err
	}
	return conn.Conn.Read(bytes)
}

// flush sends the held bytes and stops holding.
func (conn *bufferedConn) flush() error {
	err := conn.send()
	conn.lock.Lock()
	conn.isHolding = false
	conn.lock.Unlock()
	if err != nil {
		return err
	}
	// Other goroutines may have written bytes in the meantime.
	return conn.send()
}

func (conn *bufferedConn) send() error {
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

// SetWriteDeadline ignores the deadline that gorilla resets before each message.
func (conn *bufferedConn) SetWriteDeadline(deadline time.Time) error {
	if deadline.IsZero() {
		return nil
	}
	return conn.Conn.SetWriteDeadline(deadline)
}

type bufferedListener struct {
	net.Listener
}

func (listener bufferedListener) Accept() (net.Conn, error) {
	conn, err := listener.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &bufferedConn{Conn: conn}, nil
}
