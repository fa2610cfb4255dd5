//! runtime/docker
