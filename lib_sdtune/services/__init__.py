"""What a page or a program asks for besides runs: captions, preparing, class pictures, memory, inspection, evaluation.

Each service is handed a `ServiceContext`, and knows neither the runs nor the other services.
"""
