print("balsa")
