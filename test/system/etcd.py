"""A real etcd of a test: Debian's, in a namespace, with or without TLS and users.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import json
import shutil
import signal

from process import Process

RESOURCES = "/calico/resources/v3/projectcalico.org/"
READY = RESOURCES + "clusterinformations/default"
MISSING = [program for program in ("etcd", "etcdctl") if not shutil.which(program)]


def plural(kind):
    kind = kind.lower()
    return kind[:-1] + "ies" if kind.endswith("y") else kind + "s"


def key_of(document):
    meta = document["metadata"]
    namespace = meta["namespace"] + "/" if "namespace" in meta else ""
    return f"{RESOURCES}{plural(document['kind'])}/{namespace}{meta['name']}"


class Etcd:
    """One member.  `certificates`: a Certificates; then only its clients are let in."""

    def __init__(self, namespace, directory, port=2379, certificates=None):
        self.namespace, self.port, self.certificates = namespace, port, certificates
        self.directory = directory / f"etcd-{port}"
        self.log = directory / f"etcd-{port}.log"
        self.url = f"http{'s' if certificates else ''}://127.0.0.1:{port}"
        self.credentials = []
        self.process = None

    def start(self, cluster=None):
        """`cluster`: the members that start together, by name; alone without it."""
        name = f"m{self.port}"
        peer = f"http://127.0.0.1:{self.port + 1}"
        members = ",".join(f"m{member.port}=http://127.0.0.1:{member.port + 1}" for member in cluster or [self])
        words = ["etcd", "--name", name, "--data-dir", self.directory, "--log-level", "error"]
        words += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        words += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", members]
        if self.certificates:
            words += ["--cert-file", self.certificates.path("server.crt"), "--key-file"]
            words += [self.certificates.path("server.key"), "--client-cert-auth", "--trusted-ca-file"]
            words += [self.certificates.path("ca.crt")]
        self.process = Process(words, self.log, self.namespace)
        return self

    def wait_healthy(self):
        self.process.wait_for(self.healthy, 15, "etcd is healthy")
        return self

    def healthy(self):
        try:
            self.ctl("endpoint", "health")
        except AssertionError:
            return False
        return True

    def ctl(self, *words, **options):
        command = ["env", "ETCDCTL_API=3", "etcdctl", "--endpoints", self.url, *self.credentials]
        if self.certificates:
            for option, file in (("cacert", "ca.crt"), ("cert", "client.crt"), ("key", "client.key")):
                command.append(f"--{option}={self.certificates.path(file)}")
        return self.namespace.sh(*command, *words, **options)

    def write(self, key, value):
        text = value if isinstance(value, str) else json.dumps(value)
        if len(text) > 100_000:  # more than a word of a command may have
            self.ctl("put", "--", key, input=text)
        else:
            self.ctl("put", "--", key, text)

    def put(self, *documents):
        for document in documents:
            self.write(key_of(document), document)

    def put_many(self, documents):
        self.transact(f"put {key_of(one)} {json.dumps(json.dumps(one))}" for one in documents)

    def transact(self, changes):
        """By a hundred: what a client may at once."""
        changes = list(changes)
        for begin in range(0, len(changes), 100):
            self.ctl("txn", input="\n" + "\n".join(changes[begin : begin + 100]) + "\n\n\n")

    def remove(self, document):
        self.ctl("del", key_of(document))

    def set_ready(self, ready=True):
        meta = {"name": "default"}
        head = {"apiVersion": "projectcalico.org/v3", "kind": "ClusterInformation", "metadata": meta}
        self.write(READY, {**head, "spec": {"datastoreReady": ready}})

    def get(self, key):
        """The value of a key, or None."""
        kvs = json.loads(self.ctl("get", key, "-w", "json")).get("kvs", [])
        return base64.b64decode(kvs[0]["value"]).decode() if kvs else None

    def keys(self, prefix):
        return self.ctl("get", "--prefix", "--keys-only", prefix).split()

    def revision(self):
        return json.loads(self.ctl("endpoint", "status", "-w", "json"))[0]["Status"]["header"]["revision"]

    def compact(self):
        self.ctl("compact", self.revision())

    def kill(self):
        self.process.kill()

    def freeze(self):
        self.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.process.signal(signal.SIGCONT)

    def wipe(self):
        """Takes what it knows from a member that does not run."""
        shutil.rmtree(self.directory)

    def stop(self):
        if self.process:
            self.process.kill()


class Certificates:
    """An authority with a certificate for a server on 127.0.0.1 and one for a client."""

    def __init__(self, namespace, directory):
        self.directory = directory / "certificates"
        self.directory.mkdir()
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout"]
        namespace.sh(
            *("openssl", "req", "-x509", "-days", 2, "-subj", "/CN=authority", *key, self.path("ca.key")),
            *("-out", self.path("ca.crt")),
        )
        for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")):
            (self.directory / f"{name}.ext").write_text(extension)
            request = self.path(f"{name}.csr")
            namespace.sh("openssl", "req", "-subj", f"/CN={name}", *key, self.path(f"{name}.key"), "-out", request)
            namespace.sh(
                *("openssl", "x509", "-req", "-days", 2, "-in", request, "-CA", self.path("ca.crt")),
                *("-CAkey", self.path("ca.key"), "-CAcreateserial", "-out", self.path(f"{name}.crt")),
                *("-extfile", self.path(f"{name}.ext")),
            )

    def path(self, file):
        return str(self.directory / file)
