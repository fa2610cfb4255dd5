//! locator/gateway
