// The fiber benchmark on Go's goroutines, on one processor. Prints a line of JSON; see fibers_hark.c.
//
// usage: fibers_go tight | park COUNT
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const (
	switches = 2000000
	spawns   = 1000000
	batch    = 100
	items    = 1000000
)

func processor() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

func switchNs() float64 {
	var group sync.WaitGroup
	start := processor()
	for i := 0; i < 2; i++ {
		group.Add(1)
		go func() {
			for k := 0; k < switches; k++ {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
	return (processor() - start) / (2 * switches)
}

func spawnNs() float64 {
	var group sync.WaitGroup
	start := processor()
	for i := 0; i < spawns; i += batch {
		group.Add(batch)
		for k := 0; k < batch; k++ {
			go group.Done()
		}
		group.Wait()
	}
	return (processor() - start) / spawns
}

func channelNs() float64 {
	channel := make(chan int64)
	start := processor()
	go func() {
		for i := int64(0); i < items; i++ {
			channel <- i
		}
	}()
	sum := int64(0)
	for i := 0; i < items; i++ {
		sum += <-channel
	}
	if sum != items*(items-1)/2 {
		os.Exit(1)
	}
	return (processor() - start) / items
}

// Resident bytes and those of page tables.
func memoryBytes() float64 {
	text, _ := os.ReadFile("/proc/self/status")
	bytes := 0.0
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmPTE:") {
			kib, _ := strconv.ParseFloat(strings.Fields(line)[1], 64)
			bytes += kib * 1024
		}
	}
	return bytes
}

func park(count int) {
	var parked, woken sync.WaitGroup
	before := memoryBytes()
	start := processor()
	wake := make(chan struct{})
	parked.Add(count)
	woken.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			parked.Done()
			<-wake
			woken.Done()
		}()
	}
	parked.Wait()
	created := processor()
	bytes := memoryBytes() - before
	wakes := processor()
	close(wake)
	woken.Wait()
	fmt.Printf("{\"bytes\": %.0f, \"create\": %.0f, \"wake_s\": %.3f}\n", bytes/float64(count),
		(created-start)/float64(count), (processor()-wakes)/1e9)
}

func main() {
	runtime.GOMAXPROCS(1)
	if len(os.Args) > 2 && os.Args[1] == "park" {
		count, _ := strconv.Atoi(os.Args[2])
		park(count)
		return
	}
	spawnNs()
	fmt.Printf("{\"switch\": %.2f, \"spawn\": %.2f, \"channel\": %.2f}\n", switchNs(), spawnNs(),
		channelNs())
}
