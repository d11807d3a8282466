"""The nouns of streamsql: types, schemas, batches, and the contracts between the floors."""
