//! The operator and proxies against a real API server.
