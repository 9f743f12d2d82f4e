"""The commands: pretrain, train, predict, evaluate, embed and others."""
