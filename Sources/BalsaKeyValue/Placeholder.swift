/// The key-value state machine over the storage engine.
enum Placeholder {}
