"""The sandbox without and with sockets: who may call, and how an answer is delivered."""
