package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of utime and stime in /proc/PID/stat: USER_HZ, 100 on
// every Linux that Go runs on (proc(5)).
const clockTick = 10 * time.Millisecond

// rss is the server's resident memory in bytes (Linux; proc(5), statm).
func (t *target) rss() (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", t.pid))
	if err != nil {
		return 0, fmt.Errorf("read the server's memory (needs Linux): %w", err)
	}
	fields := bytes.Fields(raw)
	if len(fields) < 2 {
		return 0, fmt.Errorf("read the server's memory: unexpected statm")
	}
	pages, err := strconv.ParseFloat(string(fields[1]), 64)
	return pages * float64(os.Getpagesize()), err
}

// cpu is the processor time the server has used; 0 when its process is unknown.
func (t *target) cpu() (time.Duration, error) {
	if t.pid == 0 {
		return 0, nil
	}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.pid))
	if err != nil {
		return 0, fmt.Errorf("read the server's processor time (needs Linux): %w", err)
	}
	// The second field, the command's name, may hold spaces: count from its end.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read the server's processor time: unexpected stat")
	}
	user, err := strconv.Atoi(string(fields[11])) // utime, field 14 of stat
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(string(fields[12])) // stime, field 15
	return time.Duration(user+system) * clockTick, err
}
