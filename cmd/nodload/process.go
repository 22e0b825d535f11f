package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, 100 on every Linux
// that Go runs on (proc(5)).
const clockTick = 10 * time.Millisecond

// rss is a process's resident memory in bytes (Linux; proc(5), statm).
func rss(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
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

// Fields of /proc/PID/stat, counted from the one after the command's name.
const (
	fieldParent   = 1  // ppid, field 4
	fieldTimes    = 11 // utime and stime, fields 14 and 15
	fieldChildren = 13 // cutime and cstime of children that have ended, fields 16 and 17
	fieldsNeeded  = 15
)

// stat reads those fields of a process.
func stat(pid int) ([fieldsNeeded]int, error) {
	var out [fieldsNeeded]int
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return out, fmt.Errorf("read processor time (needs Linux): %w", err)
	}
	// The second field, the command's name, may hold spaces: count from its end.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < fieldsNeeded {
		return out, fmt.Errorf("read processor time: unexpected stat")
	}
	for i := 1; i < fieldsNeeded; i++ { // 0 is the state, a letter
		if out[i], err = strconv.Atoi(string(fields[i])); err != nil {
			if i >= fieldTimes || i == fieldParent {
				return out, fmt.Errorf("read processor time: %w", err)
			}
		}
	}
	return out, nil
}

// processCPU is the processor time a process has used.
func processCPU(pid int) (time.Duration, error) {
	s, err := stat(pid)
	return time.Duration(s[fieldTimes]+s[fieldTimes+1]) * clockTick, err
}

// familyCPU is the processor time of a process and its children, those that have
// ended included.
func familyCPU(pid int) (time.Duration, error) {
	parent, err := stat(pid)
	if err != nil {
		return 0, err
	}
	ticks := parent[fieldTimes] + parent[fieldTimes+1] + parent[fieldChildren] + parent[fieldChildren+1]
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, path := range all {
		child, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		if s, err := stat(child); err == nil && s[fieldParent] == pid { // it may have ended meanwhile
			ticks += s[fieldTimes] + s[fieldTimes+1]
		}
	}
	return time.Duration(ticks) * clockTick, nil
}

// parentOf is a process's parent, 0 when that cannot be told.
func parentOf(pid int) int {
	s, err := stat(pid)
	if err != nil {
		return 0
	}
	return s[fieldParent]
}

// commandName is the name of a process's program, "" when that cannot be told.
func commandName(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
