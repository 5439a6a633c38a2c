// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package vaulttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/vault/api"
)

// clusterSize is the smallest number of nodes that survives the loss of one.
const clusterSize = 3

// stabilization is how long a node must be healthy before it votes: next to
// nothing, where Vault's default of 10 seconds would only be waited for.
const stabilization = "100ms"

// Cluster is three Vault servers whose storage is one raft. Each is a Server of
// its own, with its directory, ports and plugins: kill, restart and ask them one
// by one. All have the same root token and the same unseal key.
type Cluster struct {
	nodes []*Server
}

// StartCluster starts a cluster and returns when all its nodes are healthy.
// Options are those of the nodes: Dir holds a directory for each of them, and
// Storage is raft, whatever they say.
func StartCluster(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{}
	err := c.start(ctx, opts)
	if err == nil {
		return c, nil
	}
	err = fmt.Errorf("starting a cluster: %w", err)
	for _, node := range c.nodes {
		err = fmt.Errorf("%w%s", err, tail(node.LogFile(), 20))
	}
	return nil, errors.Join(err, c.Close(context.WithoutCancel(ctx)))
}

func (c *Cluster) start(ctx context.Context, opts Options) error {
	dir := opts.Dir
	opts.Storage = StorageRaft
	for i := range clusterSize {
		if dir != "" {
			opts.Dir = filepath.Join(dir, nodeName(i))
		}
		node := newServer(opts)
		node.nodeID = nodeName(i)
		if i > 0 {
			node.joins, node.member = c.nodes[0], true
			node.opts.Audit = false // the audit device is the cluster's
		}
		if err := node.start(ctx); err != nil {
			return err
		}
		c.nodes = append(c.nodes, node)
		if i == 0 {
			if err := node.votersAtOnce(ctx); err != nil {
				return err
			}
			node.member = true // from now on somebody else may lead
		}
	}
	return c.WaitHealthy(ctx)
}

// votersAtOnce makes the leader trust nodes as soon as they are healthy.
func (s *Server) votersAtOnce(ctx context.Context) error {
	// Without the fields that the API's own type always sends, and that this
	// edition of Vault refuses.
	quick := map[string]any{"server_stabilization_time": stabilization}
	if _, err := s.Client().Logical().WriteWithContext(ctx, "sys/storage/raft/autopilot/configuration", quick); err != nil {
		return fmt.Errorf("configuring autopilot: %w", err)
	}
	return nil
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// Nodes are the servers of the cluster, whatever their state. The first one
// founded it.
func (c *Cluster) Nodes() []*Server { return slices.Clone(c.nodes) }

// live are the nodes whose process runs.
func (c *Cluster) live() []*Server {
	return slices.DeleteFunc(c.Nodes(), func(node *Server) bool { return node.PID() == 0 })
}

// Leader waits until a node is active, and returns it.
func (c *Cluster) Leader(ctx context.Context) (*Server, error) {
	var leader *Server
	err := WaitFor(ctx, "a leader", func() (bool, error) {
		for _, node := range c.live() {
			if status, err := node.health(ctx); err == nil && status == http.StatusOK {
				leader = node
				return true, nil
			}
		}
		return false, nil
	})
	return leader, err
}

// Standbys waits for a leader, and returns the other nodes that run.
func (c *Cluster) Standbys(ctx context.Context) ([]*Server, error) {
	leader, err := c.Leader(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(c.live(), func(node *Server) bool { return node == leader }), nil
}

// WaitHealthy waits until every node that runs serves requests, by itself or
// through the leader, and is a healthy voter.
func (c *Cluster) WaitHealthy(ctx context.Context) error {
	return WaitFor(ctx, "all nodes to be healthy", func() (bool, error) {
		live := c.live()
		for _, node := range live {
			state, err := node.autopilotState(ctx)
			if err != nil || !state.healthy(live) {
				return false, nil //nolint:nilerr // while there is no leader, or a node has not found it
			}
		}
		return len(live) > 0, nil
	})
}

// StepDown makes the leader give up leadership, and returns when a node leads.
// It may be the same one.
func (c *Cluster) StepDown(ctx context.Context) error {
	leader, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	if err := leader.Client().Sys().StepDownWithContext(ctx); err != nil {
		return fmt.Errorf("stepping down: %w", err)
	}
	_, err = c.Leader(ctx)
	return err
}

// RegisterPlugin is Server.RegisterPlugin for all nodes: any of them may come to
// run the plugin, from its own plugin directory.
func (c *Cluster) RegisterPlugin(ctx context.Context, name, binary, version string, env []string) error {
	for _, node := range c.nodes {
		if _, _, err := node.InstallPlugin(name, binary); err != nil {
			return fmt.Errorf("installing plugin %s: %w", name, err)
		}
	}
	leader, err := c.Leader(ctx)
	if err != nil {
		return err
	}
	return leader.RegisterPlugin(ctx, name, binary, version, env)
}

// Stop stops all nodes. Their files stay.
func (c *Cluster) Stop(ctx context.Context) error {
	return c.each(func(node *Server) error { return node.Stop(ctx) })
}

// Close stops all nodes, and removes those directories that StartCluster made.
func (c *Cluster) Close(ctx context.Context) error {
	return c.each(func(node *Server) error { return node.Close(ctx) })
}

// each does something to all nodes at once: a leader that stops alone would
// first see to its succession.
func (c *Cluster) each(do func(*Server) error) error {
	errs := make([]error, len(c.nodes))
	var all sync.WaitGroup
	for i, node := range c.nodes {
		all.Go(func() { errs[i] = do(node) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// join makes the server, which runs but is nobody yet, a node of the cluster of
// another.
func (s *Server) join(ctx context.Context) error {
	s.rootToken, s.unsealKey = s.joins.rootToken, s.joins.unsealKey
	request := &api.RaftJoinRequest{LeaderAPIAddr: s.joins.Address()}
	answer, err := s.ClientWithToken("").Sys().RaftJoinWithContext(ctx, request)
	if err != nil {
		return fmt.Errorf("joining the cluster: %w", err)
	}
	if !answer.Joined {
		return errors.New("joining the cluster: refused")
	}
	return nil
}

// health asks sys/health: 200 is active, 429 standby.
func (s *Server) health(ctx context.Context) (int, error) {
	resp, err := s.get(ctx, "sys/health", "")
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// autopilotState is what the leader knows of the nodes, by name.
type autopilotState struct {
	Servers map[string]struct {
		Healthy bool   `json:"healthy"`
		Status  string `json:"status"`
	} `json:"servers"`
}

// autopilotState asks the leader through this node, and fails if that takes a
// redirect.
func (s *Server) autopilotState(ctx context.Context) (*autopilotState, error) {
	resp, err := s.get(ctx, "sys/storage/raft/autopilot/state", s.rootToken)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the state of autopilot: %s", resp.Status)
	}
	var answer struct {
		Data autopilotState `json:"data"`
	}
	return &answer.Data, json.NewDecoder(resp.Body).Decode(&answer)
}

func (a *autopilotState) healthy(nodes []*Server) bool {
	return !slices.ContainsFunc(nodes, func(node *Server) bool {
		known := a.Servers[node.nodeID]
		return !known.Healthy || (known.Status != "leader" && known.Status != "voter")
	})
}

func (s *Server) get(ctx context.Context, path, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ports.address()+"/v1/"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	return s.httpClient().Do(req)
}
