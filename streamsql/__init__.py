"""streamsql: streaming SQL over Kafka in one Python process."""
