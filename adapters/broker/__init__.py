"""The message broker, on kombu and AMQP 0-9-1: what is published, and what is consumed (docs/adr/0019, 0020)."""
