"""A slice of one AWS account in one region: roles behind a boundary, Batch on Fargate, EBS, a subnet of its own."""
