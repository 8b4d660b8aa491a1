"""SQS as this project uses it: sessions, the queue, its attributes, batches. Knows no pipeline."""
