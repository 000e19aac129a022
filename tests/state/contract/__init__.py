"""The contract of `state.store.Store`: one class of tests per protocol, which every store passes."""
