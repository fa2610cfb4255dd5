//! runtime/process
