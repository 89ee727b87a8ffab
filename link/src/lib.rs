//! One end of a WebSocket: where to dial, how to shake hands, how to keep it alive.
