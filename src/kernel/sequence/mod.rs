//! Proof that two sockets are the two ends of one connection: what each has sent and received.
//!
//! Between network namespaces addresses prove nothing: any user can make a namespace with any
//! address in it, and two container networks may use the same ones. What two strangers do not share
//! are TCP's sequence numbers: each end begins at a number that depends on a secret of the kernel and
//! on the time in units of 64 ns, and counts from there. So where each of two sockets has received
//! exactly what the other has sent, from the same beginning, each is the other's peer.
//!
//! That holds for sockets that the kernel made. Who has `CAP_NET_ADMIN` in the user namespace that
//! owns a network namespace can make one there with any numbers (`TCP_REPAIR`), and may guess some:
//! the secret is the same in all namespaces. Whoever looks there has to take that into account.
//!
//! The kernel shows these numbers to BPF programs alone. One is run on the spot, on no packet: it
//! looks up both sockets, our own before and after the partner's, and writes down what they say.
//!
//! Source: `bpf_sk_lookup_tcp` and `bpf_tcp_sock` of bpf-helpers(7) (Linux 5.1);
//! `BPF_PROG_TEST_RUN` in `Documentation/bpf/bpf_prog_run.rst`.

mod numbers;
mod program;

pub(crate) use numbers::{End, Ends};
pub(crate) use program::{Family, decode, encode, encode_one, instructions};

#[cfg(test)]
pub(crate) mod tests;
