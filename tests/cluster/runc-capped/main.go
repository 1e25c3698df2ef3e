// Command runc-capped is runc for a machine that may not grant everything. It takes out of a container's specification
// what this process could not give anyway: capabilities outside its bounding set and, without CAP_SYS_RESOURCE, limits
// above its own and a lower oom_score_adj. Then it is runc. Where nothing is missing it changes nothing.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Those that matter here, by their numbers in capability.h. One that is not named is left to runc.
var capabilities = map[string]uint{
	"CAP_NET_ADMIN": 12, "CAP_SYS_MODULE": 16, "CAP_SYS_RAWIO": 17, "CAP_SYS_PTRACE": 19, "CAP_SYS_PACCT": 20,
	"CAP_SYS_ADMIN": 21, "CAP_SYS_BOOT": 22, "CAP_SYS_NICE": 23, "CAP_SYS_RESOURCE": 24, "CAP_SYS_TIME": 25,
	"CAP_SYS_TTY_CONFIG": 26, "CAP_MKNOD": 27, "CAP_MAC_OVERRIDE": 32, "CAP_MAC_ADMIN": 33, "CAP_SYSLOG": 34,
	"CAP_WAKE_ALARM": 35, "CAP_BLOCK_SUSPEND": 36, "CAP_AUDIT_READ": 37, "CAP_PERFMON": 38, "CAP_BPF": 39,
	"CAP_CHECKPOINT_RESTORE": 40,
}

// By their numbers in resource.h.
var limits = []string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
	"RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
	"RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

type object = map[string]any

func main() {
	if err := prepare(os.Args[1:]); err != nil {
		fail(err)
	}
	runc := "/usr/local/sbin/runc"
	if found, err := exec.LookPath("runc"); err == nil {
		runc = found
	}
	fail(syscall.Exec(runc, append([]string{"runc"}, os.Args[1:]...), os.Environ()))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "runc-capped:", err)
	os.Exit(1)
}

// prepare edits the file that holds the process to be started, if the arguments start one.
func prepare(arguments []string) error {
	option := func(names ...string) string {
		for i, argument := range arguments {
			name, value, joined := strings.Cut(argument, "=")
			if slices.Contains(names, name) && joined {
				return value
			} else if slices.Contains(names, name) && i+1 < len(arguments) {
				return arguments[i+1]
			}
		}
		return ""
	}
	for _, argument := range arguments {
		switch argument {
		case "create", "run", "restore":
			return edit(filepath.Join(option("--bundle", "-b"), "config.json"), func(document object) object {
				process, _ := document["process"].(object)
				return process
			})
		case "exec":
			file := option("--process", "-p")
			if file == "" {
				return nil
			}
			return edit(file, func(document object) object { return document })
		}
	}
	return nil
}

func edit(file string, process func(object) object) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	// Numbers as they are written: a limit may not fit a floating-point number.
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var document object
	if err := decoder.Decode(&document); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if process := process(document); process != nil {
		restrict(process, boundingSet())
	}
	if text, err = json.Marshal(document); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func boundingSet() uint64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "CapBnd:\t")
	line, _, _ := strings.Cut(rest, "\n")
	set, err := strconv.ParseUint(line, 16, 64)
	if err != nil {
		return ^uint64(0)
	}
	return set
}

func restrict(process object, bounding uint64) {
	sets, _ := process["capabilities"].(object)
	for name, set := range sets {
		held, _ := set.([]any)
		sets[name] = slices.DeleteFunc(held, func(capability any) bool {
			text, _ := capability.(string)
			number, known := capabilities[text]
			return known && bounding&(1<<number) == 0
		})
	}
	if bounding&(1<<capabilities["CAP_SYS_RESOURCE"]) != 0 {
		return
	}
	list, _ := process["rlimits"].([]any)
	for _, entry := range list {
		limit, _ := entry.(object)
		kind, _ := limit["type"].(string)
		var own syscall.Rlimit
		if number := slices.Index(limits, kind); number < 0 || syscall.Getrlimit(number, &own) != nil {
			continue
		}
		for _, name := range []string{"hard", "soft"} {
			wanted, err := strconv.ParseUint(fmt.Sprint(limit[name]), 10, 64)
			if err == nil && wanted > own.Max {
				limit[name] = own.Max
			}
		}
	}
	text, _ := os.ReadFile("/proc/self/oom_score_adj")
	own, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if wanted, err := strconv.Atoi(fmt.Sprint(process["oomScoreAdj"])); err == nil && wanted < own {
		process["oomScoreAdj"] = own
	}
}
