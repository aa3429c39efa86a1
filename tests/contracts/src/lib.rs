//! What has to agree although no compiler compares it: state machines, functions, template, permissions and documents.
//!
//! There is nothing to call here; `cargo test -p contracts` is the whole of it.

#[cfg(test)]
mod adapters;
#[cfg(test)]
mod asl;
#[cfg(test)]
mod events;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod history;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod payloads;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod safety;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod template;
#[cfg(test)]
mod wiring;
