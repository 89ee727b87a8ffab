//! A dashboard's connection: reconnect, resume, requests.
