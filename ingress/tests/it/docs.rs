//! The examples of docs/ingress.md.
