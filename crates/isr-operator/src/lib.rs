//! The control plane: watch, compile, publish, acknowledge, report.
