"""The node agent: brings the pods of one node to the state that their spec asks for, and says what became
of them.

service.py       runs the agent, and another in its place when it is restarted
agent.py         registers the node, gives every pod a worker
worker.py        one pod: serial passes of report, plan, act
plan.py          what a pass kills and starts (pure)
status.py        what is reported of a pod (pure); publisher.py writes it
starting.py      one container's start: image, environment, mounts, postStart hook
stopping.py      one container's end: preStop hook, SIGTERM, grace, SIGKILL
instances.py     what is known of containers; backoff.py when they may start again
records.py       what there is on the machine, whichever agent put it there
actions.py       exec, HTTP and TCP actions of hooks and probes; probes.py runs probes
environment.py   variables; fields.py the fields that they may name; volumes.py files
support.py       what a pod may not ask for
logs.py, node.py logs and exec for the API server

It behaves as a kubelet does where a client can see it: above all, one pod's passes are serial, a hook holds
up the whole pod, and a status is taken before a pass acts, so that nothing is seen of a container until its
hook has returned.
"""
