package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	cniFile = "/etc/cni/net.d/10-kindnet.conflist"
	// For a kubelet: each pod gets an address of the node's range, at one end of a pair of interfaces.
	cniConfig = `{"cniVersion": "0.3.1", "name": "kindnet", "plugins": [
  {"type": "ptp", "mtu": 1500, "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state",
   "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": %q}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`
	masquerading = "KIND-MASQ-AGENT"
)

// podNetwork takes the place of kind's kindnetd, which is in no Go module: it tells the kubelet which addresses its pods
// get, keeps a route to the pods of every other node, and masquerades what pods send out of the cluster. IPv4 only, and
// no NetworkPolicy.
func podNetwork() {
	log.SetPrefix("kindnetd: ")
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	// The address of the Service works only once kube-proxy does.
	if endpoint := os.Getenv("CONTROL_PLANE_ENDPOINT"); endpoint != "" {
		config.Host = "https://" + endpoint
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	for {
		pause := 5 * time.Second
		if err := settle(client); err != nil {
			log.Print(err)
			pause = 500 * time.Millisecond
		}
		time.Sleep(pause)
	}
}

func settle(client kubernetes.Interface) error {
	nodes, err := client.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	configured := false
	for _, node := range nodes.Items {
		address, pods := internal(node), node.Spec.PodCIDR
		switch {
		case address == "" || pods == "":
		case address == os.Getenv("HOST_IP"):
			configured = true
			if err := configure(pods); err != nil {
				return err
			}
		default:
			_, destination, err := net.ParseCIDR(pods)
			if err != nil {
				return err
			}
			if err := netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(address)}); err != nil {
				return fmt.Errorf("route to %s by %s: %w", pods, address, err)
			}
		}
	}
	if !configured {
		return fmt.Errorf("this node has no range of pod addresses yet")
	}
	return masquerade(os.Getenv("POD_SUBNET"))
}

func internal(node corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

func configure(pods string) error {
	text := fmt.Sprintf(cniConfig, pods)
	if held, err := os.ReadFile(cniFile); err == nil && string(held) == text {
		return nil
	}
	// The kubelet reads whatever ends in .conflist, so it must be whole when it gets that name.
	if err := os.WriteFile(cniFile+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(cniFile+".new", cniFile)
}

func masquerade(pods string) error {
	if pods == "" {
		return nil
	}
	nat := func(arguments ...string) error {
		return exec.Command("iptables", append([]string{"--wait", "--table", "nat"}, arguments...)...).Run()
	}
	_ = nat("--new-chain", masquerading) // It fails if the chain is there.
	rules := [][]string{
		{masquerading, "--destination", pods, "--jump", "RETURN"},
		{masquerading, "--jump", "MASQUERADE"},
		{"POSTROUTING", "--match", "addrtype", "!", "--dst-type", "LOCAL", "--jump", masquerading},
	}
	for _, rule := range rules {
		if nat(append([]string{"--check"}, rule...)...) != nil {
			if err := nat(append([]string{"--append"}, rule...)...); err != nil {
				return fmt.Errorf("iptables %v: %w", rule, err)
			}
		}
	}
	return nil
}
