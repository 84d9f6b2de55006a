"""Wire ⇄ Kafka: the contract, the feeds in, the sequencer, the sinks out. No torch, no Faust."""
